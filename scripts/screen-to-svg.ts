/** A terminal's screen, as `tmux capture-pane -e` gives it, as a picture. */
const charWidth = 8.4;
const lineHeight = 19;
const pad = 14;
const colours: Readonly<Record<number, string>> = {
  31: '#ff7b7b',
  32: '#4cc38a',
  33: '#f0b35b',
  36: '#56c5d9',
};

const sequence = /\u001b\[([\d;]*)m/;

export function screenToSvg(screen: string, columns: number): string {
  const lines = screen
    .trimEnd()
    .split('\n')
    .filter((line) => !line.includes('$ '));
  const width = Math.ceil(columns * charWidth + 2 * pad);
  const height = lines.length * lineHeight + 2 * pad;
  const style = { fill: '#e6ebf1', bold: false, dim: false };
  const rows = lines.map((line, at) => {
    const y = pad + (at + 0.75) * lineHeight;
    let column = 0;
    const spans = line.split(sequence).map((part, nth) => {
      if (nth % 2 === 1) {
        apply(part);
        return '';
      }
      const x = pad + column * charWidth;
      column += part.length;
      return span(part, x, y);
    });
    return spans.join('');
  });

  function apply(codes: string): void {
    for (const code of codes.split(';').map(Number)) {
      if (code === 0) Object.assign(style, { fill: '#e6ebf1', bold: false, dim: false });
      else if (code === 1) style.bold = true;
      else if (code === 2) style.dim = true;
      else if (code === 22) Object.assign(style, { bold: false, dim: false });
      else if (code === 39) style.fill = '#e6ebf1';
      else style.fill = colours[code] ?? style.fill;
    }
  }

  function span(text: string, x: number, y: number): string {
    if (text.trim() === '') return '';
    const more = `${style.bold ? ' font-weight="bold"' : ''}${style.dim ? ' opacity="0.6"' : ''}`;
    const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}"`;
    const length = `textLength="${(text.length * charWidth).toFixed(1)}"`;
    return `<text ${place} ${length} fill="${style.fill}"${more}>${escape(text).replaceAll(' ', '\u00a0')}</text>`;
  }

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${String(width)}" height="${String(height)}"`,
    ` font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">`,
    `<rect width="100%" height="100%" rx="8" fill="#10151b"/>`,
    ...rows,
    '</svg>\n',
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

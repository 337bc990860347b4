/** The little that the page needs of the DOM. */

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/** An element with a class and what it holds; strings become text, never markup. */
export function element(
  name: keyof HTMLElementTagNameMap,
  className: string,
  ...content: readonly (Node | string)[]
): HTMLElement {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  made.append(...content);
  return made;
}

/** A line of titles; a class stands behind a bar: `keys|number`. */
export function titles(...all: readonly string[]): HTMLElement {
  const cells = all.map((title) => {
    const [text = '', className = ''] = title.split('|');
    const cell = element('th', className, text);
    cell.setAttribute('scope', 'col');
    return cell;
  });
  return element('tr', '', ...cells);
}

export function meter(value: number, label: string): HTMLProgressElement {
  const made = document.createElement('progress');
  made.max = 1;
  made.value = value;
  made.setAttribute('aria-label', label);
  return made;
}

/** `21:14:05`, everywhere on the page. */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  const two = (count: number): string => String(count).padStart(2, '0');
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
}

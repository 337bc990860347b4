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

export function meter(value: number, label: string): HTMLProgressElement {
  const made = document.createElement('progress');
  made.max = 1;
  made.value = value;
  made.setAttribute('aria-label', label);
  return made;
}

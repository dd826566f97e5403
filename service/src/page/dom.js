// Building elements without ever parsing data as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `h('button', { class: 'quiet', onclick }, 'Play', icon('play'))`. Nothing becomes markup but tags written here. */
export function h(tag, attributes = {}, ...content) {
  return fill(document.createElement(tag), attributes, content);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...content) {
  return fill(document.createElementNS(SVG, tag), attributes, content);
}

function fill(element, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...content.filter((part) => part != null && part !== false));
  return element;
}

/** One of the symbols at the top of index.html. */
export function icon(name) {
  return s('svg', { class: 'icon', 'aria-hidden': 'true' }, s('use', { href: `#i-${name}` }));
}

/** Sets the text of an element, if it is another one: screen readers hear of changes only. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** Makes `parent` hold `children` in this order, and touches nothing that is in place. */
export function arrange(parent, children) {
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

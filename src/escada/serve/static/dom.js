// Elements without a framework.

const SVG = "http://www.w3.org/2000/svg";

/** @returns {HTMLElement} the one with this id; a missing one is a bug and throws */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element "${id}"`);
  return found;
}

/** A new element with attributes (null: left out; true: without a value) and children. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a part of an SVG drawing. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Text for eyes that sees what is invisible: spaces, line ends. */
export function visible(text) {
  return text.replace(/ /g, "·").replace(/\r?\n/g, "↵").replace(/\t/g, "→") || "∅";
}

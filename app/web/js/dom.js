// Building and finding elements. Text always goes in as text, so no name that somebody chose becomes markup.

// A text that goes and comes within one task was never gone.
const PAUSE_MS = 100;

/** An element with properties (or, where the DOM has no such property, attributes) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** What goes into a `dl`, for each pair of a term and its meaning. */
export function definitions(rows) {
  return rows.map(([term, meaning]) => element("div", {}, element("dt", {}, term), element("dd", {}, meaning)));
}

/** The same for a part of a drawing, which has attributes only. */
export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** One of the page's icons; it says nothing to a screen reader, the words beside it do. */
export function icon(name) {
  return drawn("svg", { "aria-hidden": "true" }, drawn("use", { href: `#icon-${name}` }));
}

/** The one element of that part below a root. */
export function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

export function show(target, isShown = true) {
  target.hidden = !isShown;
}

/** One sentence for screen readers, beside what is seen. Said again where it was the last one, too. */
export function announce(sentence) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = sentence), PAUSE_MS);
}

// Elements of the page. Text becomes text, never markup.

/** An element with these properties and attributes; children are elements or text. */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing. */
export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** "Enter" and the like, as a key. */
export const key = (name) => element("kbd", {}, name);

/** A list of keys and what they do: `[[["Enter"], "answers"], …]`. */
export function keysList(keys) {
  const parts = keys.flatMap(([names, does]) => [
    element("dt", {}, ...names.flatMap((name, k) => (k ? [" ", key(name)] : [key(name)]))),
    element("dd", {}, does),
  ]);
  return element("dl", { className: "keys" }, ...parts);
}

/** Said to those who listen to the page. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** Puts a screen on the page and the focus on `focused`, or on the screen itself. */
export function show(className, parts, focused = null) {
  const screen = document.getElementById("screen");
  screen.className = className;
  screen.replaceChildren(...parts);
  (focused ?? screen).focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

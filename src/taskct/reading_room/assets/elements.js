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

/** A list of keys and what they do: `[[["Enter"], "answers"], …]`. */
export function keysList(keys) {
  const line = ([names, does]) =>
    element("div", {}, element("dt", {}, ...names.map((name) => element("kbd", {}, name))), element("dd", {}, does));
  return element("dl", { className: "keys" }, ...keys.map(line));
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

// Waiting for time, for the screen and for a reader who means it.

/** No answer and no button counts sooner than this after it is shown: a double press is one press. */
export const GUARD_MS = 150;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Once what was drawn is on the screen. A hidden tab waits until it is seen. */
export const onScreen = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

/** Whether Enter means something where the focus is, other than to go on. */
const isForControl = (event) => event.target.closest?.("button, input, select, dialog") !== null;

/** The first press of one of the buttons, once the guard is over; gives the button. Enter elsewhere is the first one's. */
export async function pressed(...buttons) {
  await onScreen();
  await pause(GUARD_MS);
  const over = new AbortController();
  const chosen = await new Promise((resolve) => {
    const signal = over.signal;
    for (const button of buttons) button.addEventListener("click", () => resolve(button), { signal });
    const onKey = (event) => event.key === "Enter" && !isForControl(event) && resolve(buttons[0]);
    document.addEventListener("keydown", onKey, { signal });
  });
  over.abort();
  return chosen;
}

/** Time that images are on the screen, in seconds: it stands still while the tab is hidden. */
export class Stopwatch {
  constructor(before = 0) {
    this.before = before;
    this.since = performance.now();
    this.changed = () => (document.hidden ? this.stop() : this._go());
    document.addEventListener("visibilitychange", this.changed);
  }

  _go() {
    this.since ??= performance.now();
  }

  /** Seconds so far; the browser's clock is coarse: 0.1 ms to 1 ms, and 100 ms where it resists fingerprinting. */
  stop() {
    if (this.since !== null) this.before += (performance.now() - this.since) / 1000;
    this.since = null;
    return this.before;
  }

  close() {
    document.removeEventListener("visibilitychange", this.changed);
    return this.stop();
  }
}

// What a tab or a device keeps of this reader's study. Nothing of it leaves the browser.

class Memory {
  constructor() {
    this.items = new Map();
  }

  getItem(name) {
    return this.items.get(name) ?? null;
  }

  setItem(name, text) {
    this.items.set(name, text);
  }

  removeItem(name) {
    this.items.delete(name);
  }
}

/** A browser that lets no page keep anything keeps it until the page is loaded again. */
function storage(kind) {
  try {
    return window[`${kind}Storage`];
  } catch {
    return new Memory();
  }
}

/** Keeps values under names: for this tab ("session") or for this device ("local"). */
export function kept(kind) {
  const items = storage(kind);
  const full = (name) => `${name} ${location.pathname}`;
  return {
    get: (name) => JSON.parse(items.getItem(full(name))),
    set: (name, value) => items.setItem(full(name), JSON.stringify(value)),
    drop: (name) => items.removeItem(full(name)),
  };
}

// The numbers behind the page: what the run holds, and the images of its saved trials in HU.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

const pixels = (() => {
  const { height, width, step, names, trials, dials, discPx } = data.images;
  const size = height * width;
  const text = document.getElementById("raw").textContent.trim();
  const stored = new Int16Array(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);

  // Image number `which` (0 is the reference, 1 the low-dose one) of a trial, HU.
  function saved(which, trial) {
    const start = (which * trials.length + trial) * size;
    return Float32Array.from(stored.subarray(start, start + size), (value) => value * step);
  }

  // (1−share)·control + share·end: exactly what a blend is, and what a task path is.
  function mixed(dial, share, trial) {
    const [control, end] = dials[dial].ends.map((one) => saved(one + 1, trial));
    return control.map((value, i) => (1 - share) * value + share * end[i]);
  }

  // The share of its end that a dial has at a place of its slider: α itself, or what a price in percent buys.
  function shareAt(dial, at) {
    const { law } = dials[dial];
    if (!law || at === 0) return at;
    const rise = (1 + at / 100) ** 2 - 1;
    return (Math.sqrt(law.linear ** 2 + 4 * law.square * rise) - law.linear) / (2 * law.square);
  }

  // The images of an arm by its name: saved, or worked out where it is on a dial; null where there are none.
  function ofArm(name, trial) {
    if (name === "reference") return saved(0, trial);
    const which = names.indexOf(name);
    if (which >= 0) return saved(which + 1, trial);
    for (let d = 0; d < dials.length; d++) {
      const place = dials[d].arms.findIndex((arm) => data.arms[arm].name === name);
      if (place >= 0) return mixed(d, dials[d].shares[place], trial);
    }
    return null;
  }

  function minus(image, other) { return image.map((value, i) => value - other[i]); }

  function rmse(image, reference) {
    return Math.sqrt(image.reduce((sum, value, i) => sum + (value - reference[i]) ** 2, 0) / size);
  }

  // Mean of an image within the signal of a trial; NaN where it has none.
  function atSignal(image, trial) {
    const { ring, radius } = trials[trial];
    if (!ring) return NaN;
    let sum = 0, n = 0;
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        if (Math.hypot(column - ring[0], row - ring[1]) <= radius) { sum += image[row * width + column]; n++; }
      }
    }
    return sum / n;
  }

  // Highest mean in a disc anywhere, of image minus reference towards the signals' contrast.
  function falseSignal(difference, trial) {
    const reach = Math.floor(discPx / 2), sign = trials[trial].polarity;
    const offsets = [];
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) if (Math.hypot(x, y) <= discPx / 2) offsets.push(y * width + x);
    }
    let highest = -Infinity;
    for (let row = reach; row < height - reach; row++) {
      for (let column = reach; column < width - reach; column++) {
        let sum = 0;
        const centre = row * width + column;
        for (const offset of offsets) sum += difference[centre + offset];
        highest = Math.max(highest, sign * sum / offsets.length);
      }
    }
    return highest;
  }

  return { height, width, saved, mixed, shareAt, ofArm, minus, rmse, atSignal, falseSignal };
})();

// Numbers as the page writes them, with a true minus sign.
function written(value, digits, signed = false) {
  const text = value.toFixed(digits);
  if (Number(text) === 0) return text.replace("-", "");
  return (signed && value > 0 ? "+" : "") + text.replace("-", "−");
}

function withInterval([value, low, high], digits) {
  return `${written(value, digits)} [${written(low, digits)}, ${written(high, digits)}]`;
}

// An image in a display window, drawn into a canvas larger than it is, with a ring around the signal.
function drawImage(canvas, image, [centre, width], ring) {
  const small = document.createElement("canvas");
  small.width = pixels.width;
  small.height = pixels.height;
  const shown = new ImageData(pixels.width, pixels.height);
  const low = centre - width / 2;
  for (let i = 0; i < image.length; i++) {
    const level = Math.round(((image[i] - low) / width) * 255);
    shown.data.set([level, level, level, 255], 4 * i); // the array cuts off below 0 and above 255
  }
  small.getContext("2d").putImageData(shown, 0, 0);
  const scale = Math.max(1, Math.ceil(416 / pixels.width));
  canvas.width = scale * pixels.width;
  canvas.height = scale * pixels.height;
  const context = canvas.getContext("2d");
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (ring) {
    context.strokeStyle = "#f0e442";
    context.lineWidth = Math.max(1.5, canvas.width / 260);
    context.beginPath();
    context.arc((ring[0] + 0.5) * scale, (ring[1] + 0.5) * scale, ring[2] * scale, 0, 2 * Math.PI);
    context.stroke();
  }
}

// Fill a select with [value, text] pairs.
function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
  select.value = chosen;
}

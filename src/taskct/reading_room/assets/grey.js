// From HU to the grey levels of a screen. Pure functions.

const LEVELS = 255;

/** Grey level 0 to 255 of a HU value: linear in the window, as DICOM's LINEAR_EXACT (PS3.3 C.11.2.1.3.2), halves up. */
export function greyLevel(hu, centre, width) {
  // One division of whole numbers: exact for every window whose centre and width are multiples of 0.5 HU.
  const level = Math.floor((LEVELS * (2 * (hu - centre) + width) + width) / (2 * width));
  return Math.min(Math.max(level, 0), LEVELS);
}

const LOWEST = -32768, VALUES = 65536;

/** Grey level of each 16-bit HU value, from -32768 up. */
export function greyTable(centre, width) {
  return Uint8Array.from({ length: VALUES }, (_, k) => greyLevel(k + LOWEST, centre, width));
}

/** HU values of the bytes of an image: 16 bits each, little-endian, row by row. */
export function huOf(bytes) {
  const view = new DataView(bytes);
  return Int16Array.from({ length: bytes.byteLength / 2 }, (_, k) => view.getInt16(2 * k, true));
}

/** The image as a canvas shows it: `zoom` × `zoom` equal pixels for each of its own. */
export function pixelsOf(image, { height, width }, table, zoom) {
  const made = new ImageData(width * zoom, height * zoom);
  const colours = new Uint32Array(made.data.buffer); // opaque, red, green and blue alike
  const across = width * zoom;
  for (let row = 0; row < height; row++) {
    const start = row * zoom * across;
    for (let column = 0; column < width; column++) {
      const colour = 0xff000000 + 0x010101 * table[image[row * width + column] - LOWEST];
      for (let again = 0; again < zoom; again++) colours[start + column * zoom + again] = colour;
    }
    for (let again = 1; again < zoom; again++) colours.copyWithin(start + again * across, start, start + across);
  }
  return made;
}

const MOST_PIXELS = 2 ** 25; // of all canvases of a trial: 128 MiB

/** The zoom at the start: that of the protocol, so many times more where the screen has more pixels to one of CSS. */
export function firstZoom(zooms) {
  const most = zooms[0] * Math.max(window.devicePixelRatio, 1);
  return Math.max(...zooms.filter((zoom) => zoom <= most));
}

/** The zooms that `count` images can be shown at; the first always. */
export function usableZooms(zooms, { height, width }, count) {
  return zooms.filter((zoom, k) => k === 0 || count * height * width * zoom ** 2 <= MOST_PIXELS);
}

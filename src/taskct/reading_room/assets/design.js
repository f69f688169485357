// What the designs of a study have in common.

/** Whether one of several images is chosen. */
export const isChoice = ({ design }) => design.endsWith("afc");

/** Columns and rows of the images of a trial. */
export const gridOf = ({ design }) => ({ "2afc": [2, 1], "4afc": [2, 2] })[design] ?? [1, 1];

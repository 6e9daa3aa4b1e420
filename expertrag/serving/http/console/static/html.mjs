// Markup as template strings. Values become text nodes or properties, never markup.
import htm from "./vendor/htm.mjs";
import { h } from "./vendor/preact.mjs";

export { Component, createRef, render } from "./vendor/preact.mjs";
export const html = htm.bind(h);

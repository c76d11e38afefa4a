// One question in a dialog: a confirmation, or a line of text.

import { part, show } from "./dom.js";

const dialog = document.getElementById("ask-dialog");
const form = dialog.querySelector("form");
part(dialog, "cancel").addEventListener("click", () => dialog.close());

/**
 * The answer, or null where the person would rather not. With `label` a line is asked for, with `must` it must be exactly that;
 * without, the answer of a confirmation is the empty line.
 */
export async function ask({ title, text, go, label = null, value = "", must = null }) {
  dialog.querySelector("h2").textContent = title;
  part(dialog, "text").textContent = text;
  part(dialog, "go").textContent = go;
  show(part(dialog, "field"), label !== null);
  part(dialog, "label").textContent = label ?? "";
  const field = form.elements.answer;
  field.value = value;
  const check = () => (part(dialog, "go").disabled = must !== null && field.value !== must);
  field.oninput = check;
  check();
  dialog.returnValue = "";
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  dialog.showModal();
  await closed;
  return dialog.returnValue === "go" ? field.value : null;
}

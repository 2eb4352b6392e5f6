// The dialog that asks for the access token, where the service wants one.

import { token } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";

/**
 * @param {() => void} entered called when the reader has given a token
 * @returns {() => void} opens the dialog, unless it is open
 */
export function accessDialog(entered) {
  const dialog = byId("access");
  dialog.addEventListener("close", () => {
    const typed = byId("access-token").value.trim();
    if (dialog.returnValue !== "enter" || !typed) return;
    token.set(typed);
    entered();
  });
  return () => {
    if (dialog.open) return;
    byId("access-wrong").textContent = token.get() ? t("access.wrong") : "";
    byId("access-token").value = "";
    dialog.returnValue = "";
    dialog.showModal();
  };
}

// What went wrong, what to do, and a button that does it.

import { make } from "./dom.js";
import { t } from "./i18n.js";

/**
 * @param {Error} error a ServiceError of api.js
 * @param {() => void} again tries once more
 * @param {() => void} enterToken asks for the token
 */
export function problemBox(error, again, enterToken) {
  const asks = error.kind === "token";
  const act = make("button", { type: "button" }, t(asks ? "problem.enter_token" : "problem.again"));
  act.addEventListener("click", asks ? enterToken : again);
  const what = error.kind === "busy" && error.seconds !== null
    ? t("problem.busy.seconds", { seconds: error.seconds })
    : t(`problem.${error.kind}.do`);
  return make(
    "div",
    { class: "problem", role: "alert" },
    make("p", {}, make("strong", {}, t(`problem.${error.kind}`)), ` ${what}`),
    error.detail ? make("p", { class: "detail", lang: "en" }, error.detail) : null,
    act,
  );
}

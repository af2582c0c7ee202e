// The words come first: the other modules read them as they are evaluated. They
// import from this one's chunk, so it must not wait for them at its top level.

import { load, preferred } from "./strings";
import "./style.css";

const language = preferred();
document.documentElement.lang = language;
void load(language)
  .then(() => import("./app"))
  .then((app) => app.show(document.getElementById("root")!));

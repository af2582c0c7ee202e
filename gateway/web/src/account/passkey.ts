// Passkeys: WebAuthn (W3C, Level 3) between the bridge and the browser's authenticators.

import type { Question } from "../api/schema";
import { t } from "../strings";
import { Problem, request } from "../console/api";

/** able tells whether this browser has passkeys, and takes questions as the bridge puts them. */
export const able = typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;

/** ask calls the authenticator; its owner may decline. */
async function ask(prompt: () => Promise<Credential | null>): Promise<unknown> {
  try {
    const credential = (await prompt()) as PublicKeyCredential | null;
    if (credential) return credential.toJSON();
  } catch (err) {
    if ((err as DOMException).name === "InvalidStateError") throw new Problem(0, t.account.passkeyHere);
  }
  throw new Problem(0, t.account.passkeyDeclined);
}

/** show answers a question, within two minutes and once, with a passkey: the sign-in is then done. */
export async function show(q: Question) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(q.options as never);
  const response = await ask(() => navigator.credentials.get({ publicKey }));
  await request("post", "/login/passkey/finish", { body: { challenge: q.challenge, response } });
}

/** signIn needs no name: the passkey tells whose it is. */
export const signIn = async () => show(await request("post", "/login/passkey/begin"));

/** make gives the account a new passkey. */
export async function make(name: string, password: string) {
  const q = await request("post", "/me/passkeys/begin", { body: { password } });
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(q.options as never);
  const response = await ask(() => navigator.credentials.create({ publicKey }));
  await request("post", "/me/passkeys/finish", { body: { challenge: q.challenge, name, response } });
}

// Passkeys: WebAuthn (W3C, Level 3) between the bridge and the browser's authenticators.

import { t } from "../strings";
import { Problem, request } from "../console/api";

/** Question is what the bridge asks an authenticator; it is answered within two minutes, once. */
export interface Question<O> {
  challenge: string;
  options: O;
}

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

/** show answers a question with a passkey: the sign-in is then done. */
export async function show(q: Question<PublicKeyCredentialRequestOptionsJSON>) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(q.options);
  const response = await ask(() => navigator.credentials.get({ publicKey }));
  await request("POST", "/login/passkey/finish", { challenge: q.challenge, response });
}

/** signIn needs no name: the passkey tells whose it is. */
export const signIn = async () => show(await request("POST", "/login/passkey/begin"));

/** make gives the account a new passkey. */
export async function make(name: string, password: string) {
  const q = await request<Question<PublicKeyCredentialCreationOptionsJSON>>("POST", "/me/passkeys/begin", { password });
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(q.options);
  const response = await ask(() => navigator.credentials.create({ publicKey }));
  await request("POST", "/me/passkeys/finish", { challenge: q.challenge, name, response });
}

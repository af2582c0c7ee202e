import { useState } from "react";
import { request, useData } from "../console/api";
import { t } from "../strings";
import { Fault, Field, Shell } from "../ui/kit";
import { AskForm, text } from "./form";

const a = t.account;

/** SignUp is where people whose domain is allowed ask for an account. */
export function SignUp() {
  const { data } = useData("/signup");
  const [thanks, setThanks] = useState("");
  return (
    <Shell>
      <div className="card m-auto flex w-full max-w-md flex-col gap-5 p-6">
        <div>
          <h1 className="text-2xl font-semibold">{a.signUp}</h1>
          <p className="mt-1 text-soft">{a.signUpLead}</p>
        </div>
        {data && !data.open && <Fault>{a.signUpClosed}</Fault>}
        {thanks ? (
          <p role="status">{thanks}</p>
        ) : (
          data?.open && (
            <AskForm
              action={a.signUp}
              save={async (form) =>
                setThanks((await request("post", "/signup", {
                  body: { email: text(form, "email").trim(), display_name: text(form, "name").trim(), password: text(form, "password") },
                })).detail)
              }
            >
              <Field label={t.signIn.email} name="email" type="email" required autoComplete="username" />
              <Field label={t.prejoin.name} name="name" maxLength={64} autoComplete="name" />
              <Field label={t.signIn.password} name="password" type="password" required minLength={10} autoComplete="new-password" hint={t.hints.password} />
            </AskForm>
          )
        )}
        <a href="/signin" className="font-medium text-accent hover:underline">
          {a.toSignIn}
        </a>
      </div>
    </Shell>
  );
}

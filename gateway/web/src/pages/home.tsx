import { ArrowRight, ShieldCheck } from "lucide-react";
import { useData } from "../console/api";
import { t } from "../strings";
import { Button, Field, Shell } from "../ui/kit";
import { useNumber } from "../ui/number";

export function Home() {
  const number = useNumber();
  const { data: house } = useData("/brand");
  return (
    <Shell
      aside={
        <a href="/signin" className="inline-flex min-h-11 items-center rounded-md px-3 font-medium text-accent hover:underline">
          {t.home.signIn}
        </a>
      }
    >
      <div className="m-auto w-full max-w-md py-8">
        <h1 className="text-3xl font-semibold tracking-tight sm:text-4xl">{house?.title || t.home.title}</h1>
        <p className="mt-2 text-lg text-soft">{house?.text || t.home.lead}</p>
        <form onSubmit={number.onSubmit} noValidate className="card mt-6 flex flex-col gap-5 p-6">
          <Field {...number.field} hint={t.home.hint} autoFocus className="min-h-14 text-2xl tracking-widest" />
          <Button type="submit" look="primary" className="min-h-12 text-lg">
            {t.home.join}
            <ArrowRight aria-hidden className="size-5" />
          </Button>
        </form>
        <p className="mt-5 flex items-center gap-2 text-sm text-soft">
          <ShieldCheck aria-hidden className="size-4 shrink-0 text-good" />
          {t.home.safe}
        </p>
        <p className="mt-3 text-sm">
          <a href="/test" className="font-medium text-accent hover:underline">
            {t.check.page}
          </a>
        </p>
      </div>
    </Shell>
  );
}

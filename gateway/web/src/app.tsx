import { lazy, StrictMode, Suspense, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { signedIn } from "./console/api";
import { Home } from "./pages/home";
import { Join } from "./pages/join";
import { t } from "./strings";
import { Boundary } from "./ui/boundary";
import { Button, Shell, Spinner } from "./ui/kit";
import { go, useRoute } from "./ui/route";

// Those who join a meeting need not load what administers the bridge.
const SignIn = lazy(() => import("./console/signin").then((m) => ({ default: m.SignIn })));
const Console = lazy(() => import("./console/console").then((m) => ({ default: m.Console })));
const SignUp = lazy(() => import("./account/signup").then((m) => ({ default: m.SignUp })));
const AccountPage = lazy(() => import("./account/account").then((m) => ({ default: m.AccountPage })));
const Mine = lazy(() => import("./home/mine").then((m) => ({ default: m.Mine })));
const History = lazy(() => import("./home/history").then((m) => ({ default: m.History })));
const Check = lazy(() => import("./pages/check").then((m) => ({ default: m.Check })));
const Directory = lazy(() => import("./people/directory").then((m) => ({ default: m.Directory })));
const Chat = lazy(() => import("./people/chat").then((m) => ({ default: m.Chat })));
const Network = lazy(() => import("./pages/network").then((m) => ({ default: m.Network })));

function App() {
  const [page = "", arg = "", more] = useRoute();
  useEffect(() => {
    const title = { join: t.prejoin.title(arg), directory: t.directory.title, chat: t.chats.title, network: t.network.title }[page];
    document.title = title ? `${title} – ${t.product}` : t.product;
  }, [page, arg]);
  switch (page) {
    case "":
      return signedIn() ? <Mine /> : <Home />;
    case "history":
      return <History />;
    case "test":
      return <Check />;
    case "join":
      return arg ? <Join key={arg} meeting={arg} /> : <Home />;
    case "signin":
      return <SignIn />;
    case "signup":
      return <SignUp />;
    case "account":
      return <AccountPage />;
    case "directory":
      return <Directory />;
    case "chat":
      return <Chat id={arg} />;
    case "network":
      return <Network />;
    case "console":
      return <Console section={arg} id={more} />;
  }
  return (
    <Shell>
      <div className="m-auto flex flex-col items-center gap-4 text-center">
        <h1 className="text-2xl font-semibold">{t.notFound.title}</h1>
        <Button look="primary" onClick={() => go("/")}>
          {t.notFound.home}
        </Button>
      </div>
    </Shell>
  );
}

const waiting = (
  <div className="grid min-h-full place-items-center">
    <Spinner />
  </div>
);

/** show draws the page into an element. */
export function show(root: HTMLElement) {
  createRoot(root).render(
    <StrictMode>
      <Boundary>
        <Suspense fallback={waiting}>
          <App />
        </Suspense>
      </Boundary>
    </StrictMode>,
  );
}

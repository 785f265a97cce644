/** The shell: rail, shortcuts, palette, and the screen of the address. */
import { lazy, Suspense } from "preact/compat";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { useRead } from "./lib/api";
import { follow, go, href, screenOf, usePlace } from "./lib/place";
import { useSignedOut } from "./lib/session";
import { choose, useTheme } from "./lib/theme";
import { PARTS, SCREENS } from "./screens";
import { SignIn } from "./screens/signin";
import { Skeleton } from "./ui/card";
import { ErrorBoundary } from "./ui/error-boundary";
import { Icon, Logo } from "./ui/icons";
import { onPalette } from "./ui/palette-state";

const Palette = lazy(() => import("./ui/palette"));

export function App() {
  const out = useSignedOut();
  return out ? <SignIn /> : <Shell />;
}

function Shell() {
  const place = usePlace();
  const [palette, setPalette] = useState(false);
  useEffect(() => onPalette(setPalette), []);
  useShortcuts(() => setPalette(true));
  const screen = screenOf(place.path);
  const Part = PARTS[screen as keyof typeof PARTS] ?? PARTS["/"];
  return (
    <div class="shell" onClick={follow}>
      <a class="skip" href="#main" data-plain>
        Skip to the content
      </a>
      <Rail screen={screen} />
      <ErrorBoundary key={screen}>
        <Suspense fallback={<Waiting />}>
          <Part />
        </Suspense>
      </ErrorBoundary>
      {palette && (
        <Suspense fallback={null}>
          <Palette close={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  );
}

function Waiting() {
  return (
    <div class="page">
      <div class="topbar" />
      <main class="content">
        <Skeleton height={96} />
        <Skeleton height={280} />
      </main>
    </div>
  );
}

function Rail({ screen }: { screen: string }) {
  const theme = useTheme();
  const me = useRead("/api/me", {}, { poll: false });
  const entry = (path: string) => SCREENS.find((one) => one.path === path)!;
  return (
    <div class="rail">
      <div class="brand">
        <Logo />
        <span class="text">Raingauge</span>
      </div>
      <nav aria-label="Screens">
        <ul>
          {SCREENS.filter((one) => one.path !== "/settings").map((one) => (
            <li key={one.path}>
              <RailLink {...one} current={screen === one.path} />
            </li>
          ))}
        </ul>
      </nav>
      <div class="rail-foot">
        <RailLink {...entry("/settings")} current={screen === "/settings"} />
        <button type="button" class="rail-item theme" onClick={() => choose(theme === "dark" ? "light" : "dark")} aria-label={theme === "dark" ? "Switch to the light theme" : "Switch to the dark theme"}>
          <Icon name="theme" />
          <span class="text">{theme === "dark" ? "Light theme" : "Dark theme"}</span>
        </button>
        {me.data && (
          <div class="who">
            <div>{me.data.email ?? me.data.customer_name}</div>
            <div class="dim">{me.data.email ? me.data.customer_name : me.data.scopes.join(", ")}</div>
          </div>
        )}
      </div>
    </div>
  );
}

function RailLink({ path, title, icon, current }: { path: string; title: string; icon: Parameters<typeof Icon>[0]["name"]; current: boolean }) {
  return (
    <a class="rail-item" href={href(path)} aria-current={current ? "page" : undefined} title={title} aria-label={title}>
      <Icon name={icon} />
      <span class="text">{title}</span>
    </a>
  );
}

/** `g` and a letter goes places; ⌘K or `/` opens the palette. */
function useShortcuts(openPalette: () => void): void {
  useLayoutEffect(() => {
    let leader = Number.NEGATIVE_INFINITY;
    const onKey = (event: KeyboardEvent): void => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        openPalette();
        return;
      }
      const typing = (event.target as Element).closest("input, select, textarea, [aria-modal]");
      if (typing || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === "/") {
        event.preventDefault();
        openPalette();
      } else if (event.key === "g") leader = event.timeStamp;
      else if (event.timeStamp - leader < 1_500) {
        const screen = SCREENS.find((one) => one.key === event.key);
        if (screen) go(screen.path);
        leader = Number.NEGATIVE_INFINITY;
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

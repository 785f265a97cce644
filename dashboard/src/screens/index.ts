/** The screens: where they are, how they are called. */
import { lazy } from "preact/compat";
import type { IconName } from "../ui/icons";

export interface ScreenEntry {
  readonly path: string;
  readonly title: string;
  readonly icon: IconName;
  /** Opened by `g` and this key. */
  readonly key: string;
}

export const SCREENS: readonly ScreenEntry[] = [
  { path: "/", title: "Overview", icon: "overview", key: "o" },
  { path: "/agents", title: "Agents", icon: "agents", key: "a" },
  { path: "/loops", title: "Loops", icon: "loops", key: "l" },
  { path: "/flags", title: "Flags", icon: "flags", key: "f" },
  { path: "/product", title: "Product", icon: "product", key: "p" },
  { path: "/system", title: "System", icon: "system", key: "s" },
  { path: "/settings", title: "Settings", icon: "settings", key: "e" },
];

export const PARTS = {
  "/": lazy(() => import("./overview")),
  "/agents": lazy(() => import("./agents")),
  "/loops": lazy(() => import("./loops")),
  "/flags": lazy(() => import("./flags")),
  "/product": lazy(() => import("./product")),
  "/system": lazy(() => import("./system")),
  "/settings": lazy(() => import("./settings")),
} as const;

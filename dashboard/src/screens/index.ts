/** The screens: where they are, how they are called, what they can be filtered by. */
import { lazy } from "preact/compat";
import type { FilterKey } from "../lib/filters";
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

export const FILTERS_OF: Readonly<Record<string, readonly FilterKey[]>> = {
  "/agents": [
    { key: "user", label: "User" },
    { key: "repo", label: "Repo" },
    { key: "model", label: "Model" },
    { key: "source", label: "Source" },
    { key: "tool", label: "Tool" },
    { key: "session", label: "Session" },
  ],
  "/loops": [
    { key: "workload_id", label: "Workload" },
    { key: "framework", label: "Framework" },
    { key: "loop_type", label: "Loop type" },
    { key: "team", label: "Team" },
    { key: "outcome", label: "Outcome" },
  ],
  "/flags": [
    { key: "resolver", label: "Resolver" },
    { key: "sdk", label: "SDK" },
    { key: "version", label: "Version" },
  ],
  "/product": [
    { key: "module", label: "Module" },
    { key: "version", label: "Version" },
    { key: "platform", label: "Platform" },
    { key: "deployment_mode", label: "Deployment" },
    { key: "execution_kind", label: "Kind" },
    { key: "phase", label: "Phase" },
  ],
};

export const PARTS = {
  "/": lazy(() => import("./overview")),
  "/agents": lazy(() => import("./agents")),
  "/loops": lazy(() => import("./loops")),
  "/flags": lazy(() => import("./flags")),
  "/product": lazy(() => import("./product")),
  "/system": lazy(() => import("./system")),
  "/settings": lazy(() => import("./settings")),
} as const;

/** Whether the command palette is open. */
const watchers = new Set<(open: boolean) => void>();

export const openPalette = (): void => watchers.forEach((watcher) => watcher(true));
export function onPalette(watcher: (open: boolean) => void): () => void {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}

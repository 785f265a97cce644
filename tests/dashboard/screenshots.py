"""Pictures of every screen of a running demo: `python -m tests.dashboard.screenshots URL TOKEN [DIRECTORY]`.

Without a directory the pictures of the README are written to docs/images; with one, every screen in both themes and
two widths is written there, to be looked at before a change is done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import APIRequestContext, Page
from tests.support.chromium import chromium

SCREENS = {"overview": "/", "agents": "/agents", "loops": "/loops", "flags": "/flags", "product": "/product",
           "system": "/system", "settings": "/settings"}  # fmt: skip
README = {"overview": "/", "agents": "/agents?range=30d", "flags": "/flags?range=1h", "product": "/product?range=30d"}
IMAGES = Path(__file__).parents[2] / "docs" / "images"


def picture(page: Page, url: str, file: Path, *, whole: bool) -> None:
    """One screen, once nothing is being fetched any more."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.locator('main[aria-busy="false"]').wait_for(timeout=60_000)
    page.wait_for_function("() => !document.querySelector('.skeleton')", timeout=60_000)
    page.wait_for_timeout(600)
    page.screenshot(path=file, full_page=whole)


def details(request: APIRequestContext, url: str) -> dict[str, str]:
    """The prompt that cost most and the latest loop, which have pages of their own."""
    prompts = request.get(f"{url}/api/top-prompts?since=30d&limit=1").json()["data"]
    loops = request.get(f"{url}/v1/events?since_hours=720&limit=1").json()["events"]
    found = {
        "prompt": [f"/agents/prompt/{one['prompt']}" for one in prompts],
        "loop": [f"/loops/{one['id']}" for one in loops],
    }
    return {name: paths[0] for name, paths in found.items() if paths}


def main(url: str, token: str, directory: str = "") -> None:
    with chromium() as browser:
        for theme in ("light", "dark") if directory else ("light",):
            for width in (1440, 390) if directory else (1280,):
                context = browser.new_context(
                    viewport={"width": width, "height": 800}, color_scheme="dark" if theme == "dark" else "light"
                )
                signed_in = context.request.post(f"{url}/api/session", data={"token": token})
                assert signed_in.ok, signed_in.status
                page = context.new_page()
                more = details(context.request, url)
                pictures = SCREENS | more if directory else README | {"prompt": more["prompt"]}
                for name, path in pictures.items():
                    file = Path(directory) / f"{name}-{theme}-{width}.png" if directory else IMAGES / f"{name}.png"
                    picture(page, url + path, file, whole=bool(directory))
                context.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

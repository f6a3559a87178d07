#!/usr/bin/env python3
"""Plan a branch and keep one comment on its pull request or merge request up to date.

Needs Python 3.11 and `rackwright`, nothing else. In GitHub Actions, Gitea Actions and GitLab CI it
finds out by itself where to comment; see README.md for what has to be set.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

MARKER = "<!-- rackwright-plan -->"
PLAN_CODES = {
    0: "nothing to do",
    1: "error",
    2: "safe changes only",
    3: "destructive or disruptive changes",
    4: "blocked",
    5: "observation incomplete",
}
ERROR = 1
PER_PAGE = 100
FORBIDDEN = 403
TIMEOUT = 30


class GitHub:
    """Comments of one pull request; Gitea and Forgejo have the same addresses."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read where the comments are from what the forge's Actions set."""
        event = Path(environment["GITHUB_EVENT_PATH"]).read_text("utf-8")
        number = json.loads(event)["pull_request"]["number"]
        self.repository = (
            f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}"
        )
        self.comments = f"{self.repository}/issues/{number}/comments"
        self.headers = {
            "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
            "Accept": "application/vnd.github+json",
        }
        self.update_method = "PATCH"

    def place(self, comment: dict[str, Any]) -> str:
        """Return the address of one comment."""
        return f"{self.repository}/issues/comments/{comment['id']}"


class GitLab:
    """Notes of one merge request."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read where the notes are from what GitLab CI sets."""
        project = quote(environment["CI_PROJECT_ID"], safe="")
        number = quote(environment["CI_MERGE_REQUEST_IID"], safe="")
        api = environment["CI_API_V4_URL"]
        self.comments = f"{api}/projects/{project}/merge_requests/{number}/notes"
        self.headers = {"PRIVATE-TOKEN": environment["GITLAB_TOKEN"]}
        self.update_method = "PUT"

    def place(self, comment: dict[str, Any]) -> str:
        """Return the address of one note."""
        return f"{self.comments}/{comment['id']}"


def call(
    method: str, url: str, headers: Mapping[str, str], body: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401 - whatever JSON the forge answers
    """Send one request and return the answer's JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(  # noqa: S310 - the forge's own address, set by its runner
        url, data=data, method=method, headers={**headers, "Content-Type": "application/json"}
    )
    with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - likewise
        return json.load(answer)


def earlier(forge: GitHub | GitLab) -> Iterator[dict[str, Any]]:
    """Yield the comments that begin with the plan's marker, oldest first."""
    page, known = 1, set()
    while True:
        url = f"{forge.comments}?per_page={PER_PAGE}&page={page}"
        comments = call("GET", url, forge.headers)
        new = [each for each in comments if each["id"] not in known]
        yield from (each for each in new if each["body"].startswith(MARKER))
        if len(comments) < PER_PAGE or not new:  # Gitea answers with all, whatever the page
            return
        known.update(each["id"] for each in new)
        page += 1


def publish(forge: GitHub | GitLab, text: str) -> str:
    """Update the one comment, or post it; return which of both was done."""
    for comment in earlier(forge):
        try:
            call(forge.update_method, forge.place(comment), forge.headers, {"body": text})
        except HTTPError as error:
            if error.code != FORBIDDEN:
                raise
            continue  # somebody else wrote it, with our marker in it
        return "updated"
    call("POST", forge.comments, forge.headers, {"body": text})
    return "posted"


def plan(options: argparse.Namespace) -> tuple[int, str | None]:
    """Run `rackwright plan`; return its exit code and the comment that it wrote."""
    comment = options.directory / "plan.md"
    comment.unlink(missing_ok=True)
    command = [*shlex.split(options.rackwright), "plan", "--no-pager"]
    for name in ("plan.json", "plan.md", "plan.html"):
        command += ["--out", str(options.directory / name)]
    if options.against:
        command += ["--against", options.against]
    done = subprocess.run(command, check=False)
    if done.returncode not in PLAN_CODES or not comment.exists():
        return ERROR, None
    return done.returncode, comment.read_text("utf-8")


def forge_of(environment: Mapping[str, str]) -> GitHub | GitLab | None:
    """Return where to comment; None where no pull request or merge request is built."""
    if environment.get("GITHUB_EVENT_NAME") == "pull_request":
        return GitHub(environment)
    if "CI_MERGE_REQUEST_IID" in environment:
        return GitLab(environment)
    return None


def codes(text: str) -> set[int]:
    """Return the exit codes that a list like `4,5` names."""
    return {int(code) for code in text.split(",") if code}


def main() -> int:
    """Plan, comment, and return the exit code of the job."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", help="compare with this revision, such as origin/main")
    parser.add_argument(
        "--fail-on",
        type=codes,
        default=set(),
        help="exit codes of `rackwright plan` that fail the job besides 1, such as 4,5",
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="where to put plan.*")
    parser.add_argument("--rackwright", default="rackwright", help="the command to run")
    options = parser.parse_args()
    code, comment = plan(options)
    print(f"plan: {PLAN_CODES[code]}")
    if comment is None:
        return ERROR
    try:
        forge = forge_of(os.environ)
        if forge is not None:
            print(f"comment: {publish(forge, comment)}")
    except (URLError, KeyError, ValueError) as error:
        print(f"comment: not possible: {error!r}", file=sys.stderr)
        return ERROR
    return code if code in {ERROR, *options.fail_on} else 0


if __name__ == "__main__":
    sys.exit(main())

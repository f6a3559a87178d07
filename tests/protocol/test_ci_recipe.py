"""The recipe for pipelines, run against a stand-in forge that keeps its comments."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from ruamel.yaml import YAML

CI = Path("examples/ci").absolute()
EXAMPLE = Path("examples/lab/fleet").absolute()
TOKEN = "t0ken"  # noqa: S105 - of the stand-in
MARKER = "<!-- rackwright-plan -->"


class Forge:
    """Comments of one pull request, and who may write what."""

    def __init__(self, comments_path, comment_path, header, *, has_pages=True):
        self.comments_path, self.comment_path, self.header = comments_path, comment_path, header
        self.has_pages = has_pages
        self.comments: list[dict] = []
        self.foreign: set[int] = set()

    def answer(self, method, path, headers, body):
        """Return status and JSON as the real one would."""
        if headers.get(self.header[0]) != self.header[1]:
            return 401, {"message": "Bad credentials"}
        parts = urlsplit(path)
        if parts.path == self.comments_path and method == "GET":
            if not self.has_pages:
                return 200, self.comments
            query = parse_qs(parts.query)
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if parts.path == self.comments_path and method == "POST":
            self.comments.append({"id": len(self.comments) + 1, **body})
            return 201, self.comments[-1]
        found = re.fullmatch(self.comment_path[1], parts.path)
        if found and method == self.comment_path[0]:
            comment = self.comments[int(found.group(1)) - 1]
            if comment["id"] in self.foreign:
                return 403, {"message": "Forbidden"}
            comment.update(body)
            return 200, comment
        return 404, {"message": "Not Found"}


def serve(forge):
    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = forge.answer(self.command, self.path, self.headers, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = respond  # noqa: N815 - the library's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


GITHUB = (
    "/repos/acme/fleet/issues/7/comments",
    ("PATCH", r"/repos/acme/fleet/issues/comments/(\d+)"),
    ("Authorization", f"Bearer {TOKEN}"),
)
GITLAB = (
    "/projects/42/merge_requests/7/notes",
    ("PUT", r"/projects/42/merge_requests/7/notes/(\d+)"),
    ("PRIVATE-TOKEN", TOKEN),
)


@pytest.fixture(params=["github", "gitea", "gitlab"])
def forge(request):
    if request.param == "gitlab":
        return Forge(*GITLAB)
    return Forge(*GITHUB, has_pages=request.param == "github")


@pytest.fixture
def pipeline(tmp_path, forge):
    """Return a function that runs the recipe on a branch as the forge's runner would."""
    repository = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, repository)
    git(repository, "init", "--quiet", "--initial-branch=main")
    commit(repository)
    git(repository, "checkout", "--quiet", "-b", "change")
    server = serve(forge)
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}', "utf-8")
    url = f"http://127.0.0.1:{server.server_port}"
    if forge.comments_path == GITHUB[0]:
        runner = {
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_API_URL": url,
            "GITHUB_REPOSITORY": "acme/fleet",
            "GITHUB_TOKEN": TOKEN,
        }
    else:
        runner = {
            "CI_API_V4_URL": url,
            "CI_PROJECT_ID": "42",
            "CI_MERGE_REQUEST_IID": "7",
            "GITLAB_TOKEN": TOKEN,
        }

    def run(*arguments, **changes):
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI_"))},
            "PYTHONPATH": str(Path.cwd()),
            "RACKWRIGHT_STATE": str(tmp_path / "state"),
            "RACKWRIGHT_REPO": str(repository),
            **runner,
            **changes,
        }
        rackwright = f"{sys.executable} -m reconciler.cli"
        return subprocess.run(
            [sys.executable, CI / "review.py", "--rackwright", rackwright, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    run.repository = repository
    yield run
    server.shutdown()
    server.server_close()


def git(repository, *arguments):
    subprocess.run(["git", *arguments], cwd=repository, check=True)


def commit(repository):
    git(repository, "add", "--all")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git(repository, *who, "commit", "--quiet", "-m", "x")


def run_again(repository):
    """Commit a new run token for every machine."""
    machines = repository / "machines.yaml"
    machines.write_text(machines.read_text().replace("run: 1", "run: 2"), "utf-8")
    commit(repository)


def test_one_comment_is_posted_once_and_then_updated(forge, pipeline):
    forge.comments.append({"id": 1, "body": "Looks good to me"})
    done = pipeline()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "comment: posted"), done.stderr
    assert forge.comments[1]["body"].startswith(f"{MARKER}\n### Rackwright:")
    first = forge.comments[1]["body"]
    run_again(pipeline.repository)
    done = pipeline()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "comment: updated")
    assert len(forge.comments) == 2
    assert forge.comments[0]["body"] == "Looks good to me"
    assert forge.comments[1]["body"] != first


def test_its_comment_is_found_behind_a_hundred_others(forge, pipeline):
    forge.comments += [{"id": n, "body": "+1"} for n in range(1, 101)]
    assert "comment: posted" in pipeline().stdout
    assert "comment: updated" in pipeline().stdout
    assert len(forge.comments) == 101


def test_somebody_elses_comment_with_the_marker_is_left_alone(forge, pipeline):
    forge.comments.append({"id": 1, "body": f"{MARKER} ha"})
    forge.foreign.add(1)
    assert "comment: posted" in pipeline().stdout
    assert forge.comments[0]["body"] == f"{MARKER} ha"
    assert "comment: updated" in pipeline().stdout
    assert len(forge.comments) == 2


def test_the_comment_of_a_branch_says_what_it_changes(forge, pipeline):
    run_again(pipeline.repository)
    done = pipeline("--against", "main")
    assert done.returncode == 0, done.stderr
    (comment,) = forge.comments
    assert "introduced by" in comment["body"]
    assert "assign: " in comment["body"]
    assert (pipeline.repository.parent / "plan.html").read_text().startswith("<!doctype html>")
    reviewed = json.loads((pipeline.repository.parent / "plan.json").read_text())
    assert reviewed["format"] == "rackwright-plan/2"


def test_the_exit_codes_of_plan_decide_about_the_job(pipeline):
    assert pipeline().returncode == 0
    done = pipeline("--fail-on", "3,5")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-2] == "plan: destructive or disruptive changes"


def test_a_broken_branch_fails_and_posts_nothing(forge, pipeline):
    (pipeline.repository / "machines.yaml").write_text("kind: [", "utf-8")
    commit(pipeline.repository)
    done = pipeline()
    assert (done.returncode, forge.comments) == (1, [])
    assert "error RW901" in done.stderr


def test_a_refused_comment_fails_the_job_and_keeps_the_token_to_itself(forge, pipeline):
    forge.header = (forge.header[0], "another")
    done = pipeline()
    assert done.returncode == 1
    assert "401" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["github-actions.yaml", "gitea-actions.yaml", "gitlab-ci.yaml"])
def test_a_workflow_says_only_what_the_script_knows(name):
    text = (CI / name).read_text()
    YAML(typ="safe").load(text)
    done = subprocess.run(
        [sys.executable, CI / "review.py", "--help"], capture_output=True, text=True, check=True
    )
    used = re.findall(r"review\.py\"? (--.*)", text)
    assert used
    for option in re.findall(r"--[a-z-]+", " ".join(used)):
        assert option in done.stdout


def test_the_hooks_of_pre_commit_find_what_is_not_laid_out_or_not_valid(tmp_path):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    git(fleet, "init", "--quiet", "--initial-branch=main")
    commit(fleet)
    hooks = YAML(typ="safe").load(Path(".pre-commit-hooks.yaml"))

    def statuses():
        done = {}
        for hook in hooks:
            files = [] if hook.get("pass_filenames") is False else ["machines.yaml", "groups.yaml"]
            program, *arguments = hook["entry"].split()
            assert (program, hook["language"]) == ("rackwright", "python")
            done[hook["id"]] = subprocess.run(
                [sys.executable, "-m", "reconciler.cli", *arguments, *files],
                cwd=fleet,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
                capture_output=True,
                check=False,
                timeout=60,
            ).returncode
        return done

    assert statuses() == {"rackwright-fmt": 0, "rackwright-validate": 0}
    machines = fleet / "machines.yaml"
    machines.write_text(machines.read_text().replace("spec:\n", "spec:\n\n\n\n", 1))
    assert statuses() == {"rackwright-fmt": 1, "rackwright-validate": 0}
    machines.write_text("kind: Machin\n")
    assert statuses() == {"rackwright-fmt": 0, "rackwright-validate": 1}

"""Options that several commands share."""

from pathlib import Path

import click

DEFAULT_STATE = Path("/var/lib/rackwright")

repo_option = click.option(
    "--repo",
    envvar="RACKWRIGHT_REPO",
    default=".",
    show_default=True,
    metavar="DIR|URL",
    help="Repository with the desired state. A directory outside Git is read as it is.",
)
ref_option = click.option(
    "--ref",
    envvar="RACKWRIGHT_REF",
    default=None,
    metavar="REF",
    help="Branch, tag or commit.  [default: HEAD; the working tree outside Git]",
)
state_option = click.option(
    "--state",
    envvar="RACKWRIGHT_STATE",
    default=DEFAULT_STATE,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Directory with the embedded state: database, images, keys.",
)
format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for programs.",
)
boot_files_option = click.option(
    "--boot-files",
    envvar="RACKWRIGHT_BOOT_FILES",
    default=DEFAULT_STATE / "deploy-os",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="What `rackwright deploy-os build` made.",
)
select_option = click.option(
    "--select",
    default="",
    metavar="SELECTOR",
    help="Only machines that match: name=node-*, group=tokyo/**, label:role=compute; "
    "a comma means and.",
)
group_option = click.option(
    "--group", default="", metavar="PATH", help="Only machines of this group and all below it."
)
search_option = click.option(
    "--search", default="", metavar="TEXT", help="Only machines whose names have TEXT in them."
)
condition_option = click.option(
    "--condition",
    "conditions",
    multiple=True,
    type=click.Choice(["Ready", "Reconciling", "Stalled", "Unknown"], case_sensitive=False),
    help="Only machines in this condition; can be given several times.",
)

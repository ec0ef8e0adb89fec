"""MkDocs hook: the site has the paths of the repository.

A link such as `../plots/figures/rates-2col.png` then works in the built site and where a Git server
shows the file itself.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pygments.formatters import HtmlFormatter

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "bench/*.md",
    "examples/*.md",
    "docs/**/*.md",
)
ASSETS = (
    "CITATION.cff",
    "plots/figures/*.png",
    "examples/*.py",
    "bench/slurm/*.sh",
    "docs/site/*.css",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of the site: the theme's, and those that the patterns match."""
    root = Path(config.config_file_path).parent
    theme = [file for file in files if file.src_dir != config.docs_dir]
    matches = [path for pattern in PAGES + ASSETS for path in sorted(root.glob(pattern))]
    own = [
        File(
            path.relative_to(root).as_posix(),
            str(root),
            config.site_dir,
            config.use_directory_urls,
        )
        for path in matches
    ]
    colors = HtmlFormatter(style="friendly").get_style_defs(".codehilite")
    style = File.generated(config, "docs/site/pygments.css", content=colors)
    return Files([*theme, *own, style])

"""The documents against the tree: links, commands, folder READMEs, the charge table. Nothing is run but make -n and --help."""
# IMAGE: none
import fnmatch
import glob
import os
import re
import subprocess
import tomllib

import pytest

from harness import ROOT

FOLDERS = ["boot", "boot/efi", "lib", "arch/x86", "arch/x86/api", "arch/x86/svm", "arch/x86/vmx", "arch/x86/decode", "arch/x86/host", "hv",
           "hv/devapi", "devices", "guest", "tests", "tests/unit", "tests/image", "tests/integration", "tests/fuzz", "tools"]
README_LINES = 40


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(name for name in listed.stdout.split("\0") if name and os.path.exists(os.path.join(ROOT, name)))


def text_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


DOCUMENTS = tracked("*.md")


def anchors(text):
    """The names by which a document's headings can be linked to, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(ROOT, os.path.dirname(document), path)) if path else os.path.join(ROOT, document)
        assert os.path.exists(full), f"{document}: {target} leads nowhere"
        assert not anchor or anchor in anchors(text_of(os.path.relpath(full, ROOT))), f"{document}: {target}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document):
    """A path from the root of the tree in backquotes is a file, a folder, or a pattern that matches one."""
    tops = {name.split("/")[0] for name in tracked() if "/" in name}
    everything = tracked()
    for path in re.findall(r"`([\w.-]+/[\w./*-]*)`", text_of(document)):
        if path.split("/")[0] not in tops or re.search(r"NAME|FILE", path):
            continue
        good = os.path.exists(os.path.join(ROOT, path)) or any(fnmatch.fnmatch(name, path) for name in everything)
        assert good, f"{document}: `{path}` is not there"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_functions_exist(document):
    """`name()` in backquotes is a name of the source."""
    source = "\n".join(text_of(name) for name in tracked() if name.endswith((".c", ".h", ".asm", ".py")))
    names = set(re.findall(r"\b\w+\b", source))
    for name in re.findall(r"`(\w+)\([^`]*\)`", text_of(document)):
        assert name in names, f"{document}: there is no {name}()"


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d != "docs/settings.md"])
def test_commands_exist(document):
    """Targets of make, options of the two scripts, and scripts by their path."""
    text = text_of(document)
    for line in re.findall(r"(?:^|`|&& )make ((?:[A-Z_]+=[^\s`]+ ?|-\w+ |[\w/-]+(?:\.\w+)* ?)+)", text, re.M):
        variables = re.findall(r"[A-Z_]+=\S+", line)
        for target in line.split():
            if target in variables or target.startswith("-") or re.search(r"NAME|my-", target) or target in ("the", "must"):
                continue
            p = subprocess.run(["make", "-n", *variables, target], cwd=ROOT, capture_output=True, text=True)
            assert "No rule" not in p.stderr, f"{document}: make {target}: {p.stderr}"
    for script, rest in re.findall(r"(?:\./|`)(run-\w+\.sh)((?: [^`\n]*)?)", text):
        usage = text_of(script)
        for option in re.findall(r"(?<!\S)(--[a-z]+[a-z-]*)", rest.split(" -- ")[0]):
            assert f"{option} " in usage or f"{option}\n" in usage or f"{option})" in usage, f"{document}: {script} has no {option}"


def listed_in(readme):
    """Backquoted names in the first column of the table, or of an indented map."""
    first_columns = re.findall(r"^\| (`[^|]*) \|", readme, re.M)
    names = [name for column in first_columns for name in re.findall(r"`([^`]+)`", column)]
    return names + re.findall(r"^ {4}(\S+/) ", readme, re.M)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_readme(folder):
    readme = text_of(folder + "/README.md")
    assert readme.count("\n") <= README_LINES, f"{folder}/README.md: more than {README_LINES} lines"
    names = listed_in(readme)
    for name in names:
        assert glob.glob(os.path.join(ROOT, folder, name)), f"{folder}/README.md: {name} is not there"
    inside = [name[len(folder) + 1:] for name in tracked(folder + "/")]
    there = {first + "/" * bool(rest) for first, _, rest in (name.partition("/") for name in inside)} - {"README.md"}
    # A header stands beside its source.
    names += [name.removesuffix(".c") + ".h" for name in names if name.endswith(".c")]
    missing = [f for f in sorted(there) if not any(fnmatch.fnmatch(f, name) for name in names)]
    assert not missing, f"{folder}/README.md lacks {', '.join(missing)}"


@pytest.mark.parametrize("mutant", tomllib.loads(text_of("tests/mutants.toml"))["mutant"], ids=lambda m: m["name"])
def test_mutants_fit_the_source(mutant):
    """`make mutants` is not run here; what it would change must stand where it looks."""
    source = text_of(mutant["file"])
    for old, new in mutant["edits"]:
        assert source.count(old) == 1, old
        source = source.replace(old, new)


def test_charges_are_those_of_the_source():
    section = text_of("docs/time.md").split("<!-- charges")[1].split("\n\n")[0]
    document = {name: int(ns) for name, ns in re.findall(r"^\| (\w+) \| (\d+) \|", section, re.M)}
    source = {name: int(ns) for name, ns in re.findall(r'\[CHARGE_\w+\] = \{"(\w+)", (\d+)\}', text_of("hv/charge.c"))}
    assert document == source and len(source) >= 7


def test_decisions_are_listed():
    listed = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", text_of("docs/decisions/README.md")))
    assert listed == {os.path.basename(n) for n in tracked("docs/decisions/*.md")} - {"README.md"}
    for name in listed:
        text = text_of("docs/decisions/" + name)
        assert text.startswith(f"# {name[:4]}: ") and all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), name


def test_settings_named_in_documents_exist():
    """`key=value` words in backquotes are settings, or words of QEMU, test guests and the like that stand elsewhere."""
    keys = set(re.findall(r"^\| `([a-z0-9]+)", text_of("docs/settings.md"), re.M)) | {"vm", "kernel", "initrd"}
    planned = {"clock", "rate"}  # time.md, Limits: not built
    for document in ("README.md", "docs/time.md", "docs/architecture.md", "docs/hardware.md", "CONTRIBUTING.md"):
        for key in re.findall(r"`([a-z0-9]+)=[^`\s]*`", text_of(document)):
            assert key in keys | planned, f"{document}: {key}= is no setting"

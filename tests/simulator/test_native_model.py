"""When a component's Verilog is emitted again, and when a kept one is taken."""

import pytest
from openppu_verif.native import model


@pytest.mark.parametrize("name", ["part.py", "inner/part.py", "inner/table.toml"])
def test_every_source_counts(tmp_path, name):
    (tmp_path / "inner").mkdir()
    (tmp_path / name).write_text("one")
    before = model.sources_key(tmp_path)
    (tmp_path / "notes.txt").write_text("no source")
    assert model.sources_key(tmp_path) == before
    (tmp_path / name).write_text("two")
    assert model.sources_key(tmp_path) != before


def test_verilog_is_kept_under_the_sources_that_were_imported(tmp_path, monkeypatch):
    """Else a run in whose time a source is edited would leave old Verilog under the new source's name."""
    monkeypatch.setattr(model, "sources_key", lambda folder: pytest.fail("sources are read again"))
    monkeypatch.setattr(model, "file_contents", lambda paths: pytest.fail("sources are read again"))
    made = []

    class Emitted:
        def write(self, path):
            made.append(path)
            path.write_text("module top; endmodule\n")

    monkeypatch.setattr(model, "emit", lambda component, **options: Emitted())
    first = model.cached_verilog(object, "top", "key", tmp_path)
    assert model.cached_verilog(object, "top", "key", tmp_path) == first
    assert len(made) == 1

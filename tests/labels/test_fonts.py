from __future__ import annotations

import io
from pathlib import Path

import pytest
from reportlab import rl_config
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.errors import SettingsError
from tiktok_erp.labels.fonts import PaperFonts, TextRun

VERA = next(Path(folder, "Vera.ttf") for folder in rl_config.T1SearchPath if Path(folder, "Vera.ttf").exists())


def _no_fonts() -> PaperFonts:
    return PaperFonts(directories=[])


def test_western_text_needs_no_font_file() -> None:
    fonts = _no_fonts()
    assert fonts.runs("Zoë – 5 €") == (TextRun("Helvetica", "Zoë – 5 €"),)
    assert fonts.runs("Zoë", bold=True) == (TextRun("Helvetica-Bold", "Zoë"),)
    assert not fonts.missing


def test_a_given_font_shows_what_the_built_in_ones_cannot() -> None:
    fonts = PaperFonts([VERA], directories=[])
    assert fonts.runs("Łukasz") == (TextRun(f"{VERA}#0", "Łukasz"),)
    assert not fonts.missing


def test_a_font_is_found_by_its_file_name_below_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "truetype" / "some"
    folder.mkdir(parents=True)
    (folder / "DejaVuSans.ttf").write_bytes(VERA.read_bytes())
    assert PaperFonts(directories=[tmp_path]).runs("Łukasz")[0].font == f"{folder / 'DejaVuSans.ttf'}#0"


def test_a_broken_font_file_of_the_system_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "wqy-microhei.ttc").write_bytes(b"not a font")
    (tmp_path / "dejavusans.ttf").write_bytes(VERA.read_bytes())
    assert PaperFonts(directories=[tmp_path]).runs("Łukasz")[0].font.endswith("dejavusans.ttf#0")


def test_a_broken_font_file_in_the_settings_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.ttf").write_bytes(b"not a font")
    with pytest.raises(SettingsError, match=r"mine\.ttf"):
        PaperFonts([tmp_path / "mine.ttf"])


def test_an_absent_font_file_in_the_settings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.ttf"):
        PaperFonts([tmp_path / "absent.ttf"])


def test_without_a_chinese_font_the_readers_own_is_used_and_reported() -> None:
    fonts = _no_fonts()
    assert fonts.runs("张伟 Li") == (TextRun("STSong-Light", "张伟"), TextRun("Helvetica", " Li"))
    assert fonts.has_unembedded_font
    assert not fonts.missing


def test_what_no_font_has_is_replaced_letter_by_letter_and_reported() -> None:
    fonts = _no_fonts()
    assert fonts.runs("a한b\U0001f381") == (TextRun("Helvetica", "a?b?"),)
    assert fonts.missing == {"한", "\U0001f381"}


def test_a_string_that_no_single_font_has_is_split() -> None:
    fonts = PaperFonts([VERA], directories=[])
    assert [run.text for run in fonts.runs("Ł张")] == ["Ł", "张"]


def test_joiners_selectors_and_skin_tones_leave_no_mark() -> None:
    fonts = _no_fonts()
    assert fonts.runs("A\u200d\ufe0f\U0001f3fd\x00B") == (TextRun("Helvetica", "AB"),)
    assert not fonts.missing


def test_a_letter_with_its_accent_apart_is_composed() -> None:
    assert _no_fonts().runs("Zoe\u0308") == (TextRun("Helvetica", "Zoë"),)


def test_line_breaks_become_spaces() -> None:
    assert _no_fonts().runs("a\r\nb\tc") == (TextRun("Helvetica", "a  b c"),)


def test_the_width_is_that_of_the_runs() -> None:
    expected = pdfmetrics.stringWidth("张", "STSong-Light", 10) + pdfmetrics.stringWidth("ab", "Helvetica", 10)
    assert _no_fonts().width("张ab", 10) == pytest.approx(expected)


def test_a_given_font_is_embedded_in_the_paper() -> None:
    run = PaperFonts([VERA], directories=[]).runs("Łukasz")[0]
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pageCompression=0)
    canvas.setFont(run.font, 10)
    canvas.drawString(10, 10, run.text)
    canvas.save()
    assert b"/FontFile2" in buffer.getvalue()

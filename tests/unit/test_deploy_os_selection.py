from providers.deploy_os.selection import select

PATHS = [
    "drivers/net/ethernet/intel/e1000/e1000.ko",
    "drivers/net/ethernet/sun/niu.ko",
    "drivers/net/tun.ko",
]


def test_a_star_crosses_directories_and_later_lines_take_away() -> None:
    kept, idle = select(PATHS, ["drivers/net/ethernet/*", "!*/sun/*"])

    assert kept == {"drivers/net/ethernet/intel/e1000/e1000.ko"}
    assert idle == []


def test_a_later_line_can_bring_back_what_was_taken_away() -> None:
    kept, _ = select(PATHS, ["drivers/*", "!drivers/*", "drivers/net/tun.ko"])

    assert kept == {"drivers/net/tun.ko"}


def test_patterns_without_effect_are_reported() -> None:
    _, idle = select(PATHS, ["drivers/net/tun.ko", "drivers/gpu/*", "!drivers/net/ethernet/*"])

    assert idle == ["drivers/gpu/*", "!drivers/net/ethernet/*"]

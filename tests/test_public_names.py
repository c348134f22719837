import selfinstruct


def test_every_public_name_can_be_imported() -> None:
    for name in selfinstruct.__all__:
        assert getattr(selfinstruct, name).__doc__


def test_public_names_are_sorted_and_found() -> None:
    assert sorted(selfinstruct.__all__) == selfinstruct.__all__
    assert set(selfinstruct.__all__) == set(selfinstruct._HOMES)


def test_an_unknown_name_raises_attribute_error() -> None:
    assert not hasattr(selfinstruct, "no_such_name")

"""Keys and models come back from the database as they went in."""

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.access import ApiKey
from haiga.core.library import AddedModel
from haiga.stores.keys import DatabaseKeys
from haiga.stores.models import DatabaseModels

KEY = ApiKey("key_1", "ci", "ab" * 32, "sk-haiga-abcd…", "team", True, 100, expires_at=200)
OLDER = ApiKey("key_0", "old", "cd" * 32, "sk-haiga-cdef…", "default", False, 50)


async def test_keys_come_back_oldest_first(database: AsyncEngine) -> None:
    keys = DatabaseKeys(database)
    await keys.add(KEY)
    await keys.add(OLDER)
    assert [OLDER, KEY] == await keys.all()


async def test_a_key_is_revoked_once(database: AsyncEngine) -> None:
    keys = DatabaseKeys(database)
    await keys.add(OLDER)
    assert [True, False] == [await keys.revoke("key_0", 60), await keys.revoke("key_0", 70)]
    assert [60] == [key.revoked_at for key in await keys.all()]
    assert not await keys.revoke("key_unknown", 60)


async def test_a_model_of_the_same_name_is_replaced(database: AsyncEngine) -> None:
    models = DatabaseModels(database)
    await models.put(AddedModel("m", "/a", "org/m@1", None, 1))
    await models.put(AddedModel("n", "/n", "/n", "int8", 2))
    await models.put(AddedModel("m", "/b", "org/m@2", "int4", 3))
    assert [AddedModel("n", "/n", "/n", "int8", 2), AddedModel("m", "/b", "org/m@2", "int4", 3)] == (await models.all())
    assert [True, False] == [await models.remove("m"), await models.remove("m")]

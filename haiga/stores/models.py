"""Added models in the database; implements core.ports.ModelStore."""

from dataclasses import asdict

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.audit import Deed
from haiga.core.library import AddedModel
from haiga.stores.audit import append
from haiga.stores.tables import MODELS


class DatabaseModels:
    """Models in the table models."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, model: AddedModel, deed: Deed | None = None) -> None:
        """Keep a model; one of the same name is replaced, in one transaction."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(MODELS).where(MODELS.c.name == model.name))
            await connection.execute(insert(MODELS).values(asdict(model)))
            if deed is not None:
                await append(connection, deed)

    async def all(self) -> list[AddedModel]:
        """Every model, oldest first."""
        query = select(MODELS).order_by(MODELS.c.added_at, MODELS.c.name)
        async with self._engine.connect() as connection:
            return [AddedModel(**row) for row in (await connection.execute(query)).mappings()]

    async def remove(self, name: str, deed: Deed | None = None) -> bool:
        """Forget a model; False when there is none of that name."""
        async with self._engine.begin() as connection:
            removed = (await connection.execute(delete(MODELS).where(MODELS.c.name == name))).rowcount == 1
            if removed and deed is not None:
                await append(connection, deed)
            return removed

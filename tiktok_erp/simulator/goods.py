"""What the simulated shop sells: twelve products with their SKUs, warehouses and shipping providers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiktok_erp.simulator.numbers import IdMaker

# product; then SKUs as (name, seller_sku, price in cents, weight in grams, demand weight)
_RANGE: tuple[tuple[str, tuple[tuple[str, str, int, int, int], ...]], ...] = (
    (
        "Ribbed Knit Lounge Set",
        (
            ("Sage, S", "LNG-SAGE-S", 2499, 410, 14),
            ("Sage, M", "LNG-SAGE-M", 2499, 430, 30),
            ("Sage, L", "LNG-SAGE-L", 2499, 450, 12),
            ("Oat, M", "LNG-OAT-M", 2499, 430, 8),
        ),
    ),
    ("Satin Scrunchie 3-Pack", (("Blush", "SCR-BLSH-3", 999, 45, 24), ("Midnight", "SCR-MDNT-3", 999, 45, 6))),
    ("Tinted Lip Oil", (("Cherry", "LIP-CHRY", 1000, 38, 20), ("Fig", "LIP-FIG", 1000, 38, 7))),
    ("Canvas Market Tote", (("Natural", "TOTE-NAT", 2999, 320, 6), ("Ink", "TOTE-INK", 2999, 320, 4))),
    ("Cloud Slippers", (("Cream, 7-8", "SLP-CRM-78", 3000, 380, 6), ("Cream, 9-10", "SLP-CRM-910", 3000, 400, 4))),
    ("Glass Drip Kettle 600 ml", (("Clear", "KTL-600", 4450, 890, 3),)),
    ("Gua Sha Set", (("Jade", "GUA-JADE", 1450, 210, 5), ("Rose", "GUA-ROSE", 1450, 210, 4))),
    ("Phone Lanyard", (("Pearl", "LAN-PRL", 550, 30, 9), ("Rainbow", "LAN-RNBW", 550, 30, 5))),
    ("Soy Candle", (("Cedar", "CND-CDR", 1850, 520, 4), ("Plum", "CND-PLM", 1850, 520, 3))),
    ("Weighted Jump Rope", (("Black", "ROPE-BLK", 1299, 340, 4),)),
    ("Silk Sleep Mask", (("Ivory", "MSK-IVR", 1699, 60, 5), ("Wine", "MSK-WIN", 1699, 60, 3))),
    ("Velvet Scrunchie (free gift)", (("Default", "GIFT-SCR-01", 0, 15, 0),)),
)
GIFT_VALUE = 399
# How many pieces the two scarce SKUs have left when every order has arrived.
SCARCE = {"LNG-SAGE-M": 3, "LIP-CHRY": 2}
# SKUs that lie in both warehouses.
TWO_WAREHOUSES = frozenset({"LNG-SAGE-M", "SCR-BLSH-3", "LIP-CHRY", "TOTE-NAT", "GIFT-SCR-01", "LAN-PRL"})


@dataclass(slots=True)
class Sku:
    id: str
    product_id: str
    product_name: str
    name: str
    seller_sku: str
    price: int  # cents
    weight_g: int
    demand: int
    image: str
    available: dict[str, int] = field(default_factory=dict)  # warehouse id -> sellable now
    committed: dict[str, int] = field(default_factory=dict)  # warehouse id -> held by orders
    backorder: dict[str, tuple[int, int]] = field(default_factory=dict)  # warehouse id -> quantity, handling days

    @property
    def is_gift(self) -> bool:
        return self.price == 0


@dataclass(slots=True)
class Product:
    id: str
    title: str
    skus: list[Sku]
    created_at: int
    updated_at: int
    status: str = "ACTIVATE"


@dataclass(frozen=True, slots=True)
class Warehouse:
    id: str
    entity_id: str
    name: str
    kind: str
    is_default: bool
    line: str
    city: str
    state: str
    iso: str
    zip5: str
    phone: str


@dataclass(frozen=True, slots=True)
class DeliveryOption:
    id: str
    name: str
    kind: str
    shipping_type: str


@dataclass(frozen=True, slots=True)
class ShippingService:
    id: str
    name: str
    provider: str
    earliest_days: int
    latest_days: int
    base_cents: int
    cents_per_100g: int


@dataclass(slots=True)
class Catalogue:
    products: dict[str, Product]
    skus: dict[str, Sku]
    warehouses: list[Warehouse]
    delivery_options: list[DeliveryOption]
    providers: dict[str, str]  # display name -> id
    services: list[ShippingService]

    def option(self, shipping_type: str) -> DeliveryOption:
        """Return the delivery option of an order that ships this way."""
        return next(option for option in self.delivery_options if option.shipping_type == shipping_type)

    def provider_name(self, provider_id: str) -> str:
        """Return the display name of a provider, empty when there is none."""
        return next((name for name, known in self.providers.items() if known == provider_id), "")

    @property
    def sales_warehouses(self) -> list[Warehouse]:
        return [warehouse for warehouse in self.warehouses if warehouse.kind == "SALES_WAREHOUSE"]


PROVIDER_NAMES = ("USPS", "UPS", "FedEx", "DHL", "DHL eCommerce", "UniUni", "Speedx", "GOFO", "Veho", "OSM Worldwide")


def make_catalogue(ids: IdMaker, opened_at: int) -> Catalogue:
    """Return the shop's goods and places, without stock; `opened_at` is the Unix second the products were made."""
    warehouses = [
        Warehouse(
            ids.make("70685", 19), ids.make("74", 19), "Ontario CA", "SALES_WAREHOUSE", True,
            "2150 Cedarbrook Logistics Way", "Ontario", "California", "CA", "91761", "(+1)909-555-0100",
        ),
        Warehouse(
            ids.make("70685", 19), ids.make("74", 19), "Edison NJ", "SALES_WAREHOUSE", False,
            "88 Mallard Freight Dr", "Edison", "New Jersey", "NJ", "08817", "(+1)732-555-0111",
        ),
        Warehouse(
            ids.make("70685", 19), ids.make("74", 19), "Returns", "RETURN_WAREHOUSE", True,
            "2150 Cedarbrook Logistics Way, Dock R", "Ontario", "California", "CA", "91761", "(+1)909-555-0122",
        ),
    ]  # fmt: skip
    products: dict[str, Product] = {}
    skus: dict[str, Sku] = {}
    for title, rows in _RANGE:
        product_id = ids.make("17295", 19)
        made = []
        for name, seller_sku, price, weight_g, demand in rows:
            image = f"https://p16-oec-example.test/img/{seller_sku.lower()}.jpeg"
            sku = Sku(ids.make("17295", 19), product_id, title, name, seller_sku, price, weight_g, demand, image)
            both = seller_sku in TWO_WAREHOUSES
            for warehouse in warehouses[: 2 if both else 1]:
                sku.available[warehouse.id] = 0
                sku.committed[warehouse.id] = 0
            skus[sku.id] = sku
            made.append(sku)
        products[product_id] = Product(product_id, title, made, opened_at, opened_at)
    options = [
        DeliveryOption(ids.make("70911", 19), "Standard shipping", "STANDARD", "TIKTOK"),
        DeliveryOption(ids.make("70911", 19), "Shipped by seller", "SEND_BY_SELLER", "SELLER"),
    ]
    services = [
        ShippingService(ids.make("7208", 19), "USPS Ground Advantage", "USPS", 2, 5, 434, 34),
        ShippingService(ids.make("7208", 19), "UPS Ground Saver", "UPS", 3, 6, 495, 29),
        ShippingService(ids.make("7208", 19), "USPS Priority Mail", "USPS", 1, 3, 789, 52),
    ]
    providers = {name: ids.make("71178", 19) for name in PROVIDER_NAMES}
    return Catalogue(products, skus, warehouses, options, providers, services)

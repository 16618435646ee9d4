"""Map tasks onto units: general linear models over block-designed prompts."""

"""The engines on files: consensus and agreement from recorded answers, without a broker or a database."""

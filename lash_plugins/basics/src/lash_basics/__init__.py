"""The standard execution mode, an offline model provider and file tools."""

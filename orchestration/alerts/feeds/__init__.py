"""What other systems and people read: REST, Server-Sent Events, GeoJSON, CAP 1.2 and Atom."""

"""What is sent out by itself: webhooks, topics, the hypervisor, work orders."""

"""Personal data of visits and families: wiped when they are old or when somebody asks for it, and shown to who asks."""

"""Write a generation: split documents into chunks, embed them, stage and publish."""

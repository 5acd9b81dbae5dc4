"""The pipeline: intake, react, advance, deliver. Each step reads, decides, and submits one commit."""

"""Service levels: measured at the end of a period, what was missed given back to the payer and taken from who missed.

Owns: measured levels, their adjustments, outages. Does not own: what a sample is and what a miss costs (the stage
``meter.level``), when a period is measured (the schedule), what a charge comes to after corrections (correcting).
"""

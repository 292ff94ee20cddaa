"""What any resize gives away: scalers as black boxes, operators, exposure, bounds on attacks, who is vulnerable."""

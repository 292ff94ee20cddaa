"""Image reconstruction (defense 2): what a scaler reads is replaced by what lies around it."""

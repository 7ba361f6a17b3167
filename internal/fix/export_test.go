package fix

// ObjectWithin is [Object] with another limit of versions.
var ObjectWithin = object

package journal

const sysStatx = 332

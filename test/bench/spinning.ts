/** Keeps one core busy until it is killed. */
console.log('spinning');
for (;;);
